"""The kernel's functions in Python: the oracle of the compiled ones, and what runs without a compiler."""
