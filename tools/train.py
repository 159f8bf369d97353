"""`mim train hrnet_plugin CONFIG`: stock MMPose's tool, with its options."""

from hrnet_plugin.commands.launch import run_stock_tool

if __name__ == '__main__':
    run_stock_tool('train')
