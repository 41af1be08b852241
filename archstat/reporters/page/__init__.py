"""A page in one HTML file: drawings made here, tables, and the data behind them."""
