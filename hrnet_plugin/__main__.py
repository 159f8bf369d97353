"""`python -m hrnet_plugin` is `hrnet-plugin`."""

import sys

from .commands.cli import main

if __name__ == '__main__':
    sys.exit(main())
