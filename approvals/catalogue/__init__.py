"""Tool definitions as servers gave them: pinned, compared, flagged, accepted."""
