# SPDX-License-Identifier: GPL-2.0-only
"""VMs for tests: labs of nodes, see lab.py. scripts/lab is its command."""
