"""The world outside, one module per neighbour; none of them knows another.

Each implements a protocol of ``ports`` and decides nothing about a delegation.
"""
