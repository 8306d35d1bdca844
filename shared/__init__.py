"""What both services share: the RPC, the models and the contracts."""
