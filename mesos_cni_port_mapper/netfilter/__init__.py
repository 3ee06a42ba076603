"""Making it so: the back ends that make the kernel agree with a plan, and what they remember."""
