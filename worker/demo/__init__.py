"""The demonstration: the whole system on this machine, with sample events and a provider that has its troubles."""
