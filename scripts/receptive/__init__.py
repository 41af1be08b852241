"""What make_receptive_field.py is made of."""
