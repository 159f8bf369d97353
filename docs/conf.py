"""Settings of the documentation: `make docs` builds it with Sphinx, MyST and Furo.

Sphinx because OpenMMLab's own documentation is built with it, and because it can refuse broken
links and unknown names; pages, search included, need no network.
"""

import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # where another checkout is the installed one, too

from hrnet_plugin.version import __version__  # noqa: E402

warnings.filterwarnings('ignore', 'pkg_resources is deprecated')

project = 'hrnet_plugin'
author = 'The authors of hrnet_plugin'
version = release = __version__
html_title = f'hrnet_plugin {version}'

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
source_suffix = {'.md': 'markdown'}
exclude_patterns = ['_build']

# `make docs` turns warnings into errors: a broken link, a page that is in no table of contents, a
# name of ours that does not exist. Names of other projects would have to be looked up there.
nitpicky = True
OTHERS = 'collections|torch|numpy|np|mmengine|mmpose|mmdet|onnx|onnxruntime|pathlib|nn'
nitpick_ignore_regex = [('py:.*', rf'({OTHERS})\..*')]
# Aliases and bases in signatures, which are not public.
nitpick_ignore = [
    ('py:class', name)
    for name in (
        'Metainfo',
        'ParallelStreamBackbone',
        'Runner',
        'dict[str',  # of a default that is made by a function
        'hrnet_plugin.apis.boxes.given_boxes.GivenBoxes',
        'hrnet_plugin.checkpoints.pretrained.Source',
        'hrnet_plugin.checkpoints.recognise.Model',
        'hrnet_plugin.checks.findings.Result',
        'hrnet_plugin.datasets.importers.labels.Counts',
        'hrnet_plugin.evaluation.collect.Collected',
        'hrnet_plugin.functional.coco.arrays.Annotations',
        'hrnet_plugin.functional.heatmaps.tensors.Array',
        'hrnet_plugin.registry.C',
    )
]

myst_enable_extensions = ['colon_fence']
myst_heading_anchors = 4  # as on GitHub

autodoc_member_order = 'bysource'
autodoc_typehints = 'signature'
autodoc_typehints_format = 'short'
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # attributes of dataclasses are members already
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80

html_theme = 'furo'
html_copy_source = False
html_show_sphinx = False
html_static_path = ['_static']
html_css_files = ['site.css']
html_theme_options = {'top_of_page_buttons': []}
