"""Which rules should exist. Everything here is pure: values in, values out."""
