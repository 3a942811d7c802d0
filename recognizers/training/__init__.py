"""How the embedded recognizers come to be: trained on the synthetic population, from nothing, each on its own."""
