"""`mim train hrnet_plugin CONFIG`: the stock tool of the package that the config is for."""

from hrnet_plugin.commands.launch import run_stock_tool

if __name__ == '__main__':
    run_stock_tool('train')
