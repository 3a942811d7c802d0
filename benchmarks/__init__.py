"""How fast it is, beside what people use today: ratios within one run on one machine. Timings never fail a test."""
