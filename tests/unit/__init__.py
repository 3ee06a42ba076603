"""Tests in this process or in small children of it: no root, no kernel tables, a few seconds."""
