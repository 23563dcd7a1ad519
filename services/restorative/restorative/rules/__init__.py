"""The rules of restorative practice: values in, values out."""
