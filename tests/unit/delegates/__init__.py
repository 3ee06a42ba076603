"""Tests of the built-in plugins and of what they are made with, without a kernel."""
