"""Do nothing, frozen exactly as the plugin is: the start-up time that no code of ours can beat."""

import os

os._exit(0)
