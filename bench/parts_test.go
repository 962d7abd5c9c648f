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
	for _, p := range parts {
		asked := p.name == nameStorm || p.name == nameIdle
		for line := range strings.Lines(b.String()) {
			if strings.Contains(line, p.name) && strings.Contains(line, "not measured") == asked {
				t.Errorf("%s, asked for: %v, but the report says %q", p.name, asked, line)
			}
		}
	}
	if text := b.String(); strings.Count(text, "not measured") < len(parts)-2 || strings.Contains(text, "MISSED") {
		t.Errorf("the report says %s", text)
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
