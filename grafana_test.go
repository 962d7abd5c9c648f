package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/goccy/go-yaml"
)

// alerts are rules as Prometheus reads them.
type alerts struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For    string
			Labels, Annotations map[string]string
		}
	}
}

// dashboard is what of Grafana's asks for metrics.
type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
}

// questions are the expressions of the dashboard and of the alerts, by where they stand.
func questions(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	text, err := os.ReadFile("docs/grafana/paygraph.json")
	if err != nil {
		t.Fatal(err)
	}
	var board dashboard
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			found[panel.Title+": "+target.Expr] = target.Expr
		}
	}
	if text, err = os.ReadFile("docs/grafana/alerts.yml"); err != nil {
		t.Fatal(err)
	}
	var rules alerts
	if err := yaml.UnmarshalWithOptions(text, &rules, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if rule.Alert == "" || rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" {
				t.Errorf("an alert lacks its name, severity or summary: %+v", rule)
			}
			found[rule.Alert] = rule.Expr
		}
	}
	return found
}

// wantKnown holds what the dashboard and the alerts ask for, names and the labels they choose by, against what a running gateway shows.
func wantKnown(t *testing.T, shown map[string]float64) {
	t.Helper()
	asked := questions(t)
	if len(asked) < 30 {
		t.Errorf("only %d questions are asked", len(asked))
	}
	for where, question := range asked {
		parsed, err := metricsql.Parse(question)
		if err != nil {
			t.Errorf("%s cannot be read: %v", where, err)
			continue
		}
		metricsql.VisitAll(parsed, func(e metricsql.Expr) {
			if of, is := e.(*metricsql.MetricExpr); is && !isShown(shown, of) {
				t.Errorf("%s asks for %s, which no gateway shows", where, of.AppendString(nil))
			}
		})
	}
}

// isShown says whether a number has the name that is asked for, and the labels that are chosen by.
func isShown(shown map[string]float64, of *metricsql.MetricExpr) bool {
	for number := range shown {
		name, labels, _ := strings.Cut(number, "{")
		for _, filters := range of.LabelFilterss {
			fits := true
			for _, f := range filters {
				if f.Label == "__name__" {
					fits = fits && f.Value == name
				} else {
					fits = fits && strings.Contains(labels, f.Label+`="`)
				}
			}
			if fits {
				return true
			}
		}
	}
	return false
}
