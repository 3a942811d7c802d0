"use strict";
// The line between both pictures follows the range that lies over them, which fingers, mice and arrow keys move.
for (const range of document.querySelectorAll(".stage input")) {
  const follow = () => {
    range.parentElement.style.setProperty("--at", `${range.value}%`);
    range.setAttribute("aria-valuetext", `${range.value} % as it is, the rest with the cloak`);
  };
  range.addEventListener("input", follow);
  follow();
}
