"""The demonstration: a recurrent stack observes moving handwritten digits and forecasts how they go on."""
