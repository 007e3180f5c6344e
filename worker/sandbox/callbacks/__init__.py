"""What the sandbox calls back: delivery reports of the messages it took, and inbound WhatsApp messages."""
