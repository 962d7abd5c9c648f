package main

import (
	"strings"
	"testing"
)

func TestWhatIsNotAskedForIsNotMeasured(t *testing.T) {
	t.Parallel()
	o := small()
	o.Parts = []string{"storm", "idle"}
	r := results{
		options: o, streams: []streamFigures{{IdleRatio: 0.98}}, disturbed: []disturbedFigures{{Storm: disturbanceFigure{Ratio: 0.93, Due: 1, Delivered: 1}}},
	}
	var b strings.Builder
	r.writeStreams(&b)
	r.writeDisturbed(&b)
	r.writeTargets(&b)
	lines := map[bool]int{}
	for line := range strings.Lines(b.String()) {
		for _, p := range parts {
			if !strings.Contains(line, p.name) {
				continue
			}
			asked := p.name == nameStorm || p.name == nameIdle
			if lines[asked]++; strings.Contains(line, "not measured") == asked {
				t.Errorf("%s, asked for: %v, but the report says %q", p.name, asked, line)
			}
		}
	}
	if lines[true] < 4 || lines[false] < len(parts)-2 || strings.Contains(b.String(), "MISSED") {
		t.Errorf("%d lines about what was asked for, %d about what was not, in %s", lines[true], lines[false], b.String())
	}
	if o.measures(nameFlood) || !o.measures(nameStorm) || !o.measures(nameUniform) {
		t.Error("it measures what was not asked for, or not what was")
	}
}

func TestJSONIsOfWholeScenarios(t *testing.T) {
	t.Parallel()
	o := small()
	if err := o.valid(); err != nil {
		t.Error(err)
	}
	o.Parts = o.Parts[1:]
	if err := o.valid(); err == nil || !strings.Contains(err.Error(), "--parts") {
		t.Errorf("JSON without a part: %v", err)
	}
}
