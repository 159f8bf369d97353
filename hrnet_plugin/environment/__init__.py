"""The Python environment: required packages, and problems with those installed."""
