"""What a cloak on one person's photos is worth: the search for the smallest budget that works, and the page that says so."""
