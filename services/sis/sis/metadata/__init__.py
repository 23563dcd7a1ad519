"""What clients ask the door about before they push: where everything is, what is accepted, and in which order.

All of it is made from the table of resources.
"""
