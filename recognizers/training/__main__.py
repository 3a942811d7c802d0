"""`python -m recognizers.training` trains the embedded recognizers."""

from recognizers.training.command import main

main()
