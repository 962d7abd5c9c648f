package main

import "slices"

// part is what of the scenarios subscriptions and disturbances can be asked for alone.
type part struct {
	option string // in --parts
	name   string // of its figures
}

var parts = []part{
	{"own", nameOwn}, {"account", nameAccountOfAll}, {"memory", nameMemory}, {"idle", nameIdle},
	{"slow", nameSlow}, {"halfOpen", nameHalfOpen}, {"knocking", nameKnocking}, {"flood", nameFlood}, {"storm", nameStorm},
	{"neighbour", nameNeighbour}, {"left", nameLeft},
}

// allParts are the options of all parts.
func allParts() (options []string) {
	for _, p := range parts {
		options = append(options, p.option)
	}
	return options
}

// partial says whether some part was not asked for.
func (o options) partial() bool {
	return slices.ContainsFunc(parts, func(p part) bool { return !slices.Contains(o.Parts, p.option) })
}

// measures says whether the part that a figure belongs to is asked for. What belongs to none always is.
func (o options) measures(name string) bool {
	i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
	return i < 0 || slices.Contains(o.Parts, parts[i].option)
}
