package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

const dashboardFile = "../../examples/grafana/ehlogate.json"

// panelTypes are the kinds of panels of the dashboard, none of which is deprecated.
var panelTypes = map[string]variants.PanelcfgConfig{
	"bargauge": bargauge.VariantConfig(), "stat": stat.VariantConfig(), "table": table.VariantConfig(), "timeseries": timeseries.VariantConfig(),
}

// readDashboard returns the dashboard as the types of Grafana have it: what they do not know is an error, in panels and
// queries too.
//
//lint:ignore SA1019 operators import files of this version; the next one is for the API of Kubernetes
func readDashboard(t *testing.T) (d dashboard.Dashboard) {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if string(all["__inputs"]) != "[]" || !strings.Contains(string(all["__requires"]), `"grafana"`) {
		t.Error("__inputs or __requires is missing, which an import reads")
	}
	for _, config := range panelTypes {
		cog.NewRuntime().RegisterPanelcfgVariant(config)
	}
	cog.NewRuntime().RegisterDataqueryVariant(prometheus.VariantConfig())
	delete(all, "__inputs") // which are no part of a dashboard, but of a file that is imported
	delete(all, "__requires")
	if text, err = json.Marshal(all); err != nil {
		t.Fatal(err)
	}
	// It returns an empty error in place of nil, and leaves out panels.
	if err := d.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		t.Fatalf("Grafana does not know all of the dashboard: %v", err)
	}
	d = dashboard.Dashboard{} //lint:ignore SA1019 as above
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDashboard checks that Grafana reads the dashboard, and that each panel says what it shows.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	if d.Uid == nil || d.Title == nil || d.Id != nil || d.SchemaVersion < 41 {
		t.Errorf("uid, title or a current schemaVersion is missing, or there is an id, which would replace another dashboard: %+v", d)
	}
	ids := make(map[uint32]bool)
	taken := make(map[[2]uint32]string) // the cells of the grid
	place := func(id uint32, title string, at *dashboard.GridPos) {
		if ids[id] {
			t.Errorf("two panels have the id %d", id)
		}
		ids[id] = true
		if at.X+at.W > 24 || at.W == 0 || at.H == 0 {
			t.Errorf("%q does not fit into 24 columns: %+v", title, at)
		}
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other := taken[[2]uint32{x, y}]; other != "" {
					t.Fatalf("%q overlaps %q at %d, %d", title, other, x, y)
				}
				taken[[2]uint32{x, y}] = title
			}
		}
	}
	titles := make(map[string]bool)
	for _, p := range d.Panels {
		if row := p.RowPanel; row != nil {
			place(row.Id, *row.Title, row.GridPos)
			continue
		}
		p := p.Panel
		if p.Title == nil || *p.Title == "" || titles[*p.Title] {
			t.Fatalf("panel %d has no title of its own", *p.Id)
		}
		place(*p.Id, *p.Title, p.GridPos)
		titles[*p.Title] = true
		if p.Description == nil || *p.Description == "" || p.FieldConfig.Defaults.Unit == nil {
			t.Errorf("%q has no description or no unit", *p.Title)
		}
		if panelTypes[p.Type].Identifier == "" {
			t.Errorf("%q is of type %q: it is deprecated or new here", *p.Title, p.Type)
		}
		if p.Datasource == nil || *p.Datasource.Uid != "${DS_PROMETHEUS}" || len(p.Targets) == 0 {
			t.Errorf("%q does not use the data source that the operator chooses", *p.Title)
		}
	}
	if len(titles) < 40 {
		t.Errorf("only %d panels", len(titles))
	}
}

// query is one query of the dashboard.
type query struct {
	panel, expr, legend string
	table               bool // the labels are columns
}

// dashboardQueries returns the queries as Grafana sends them: with the values of variables in place of their names.
func dashboardQueries(t *testing.T) (queries []query) {
	t.Helper()
	values := strings.NewReplacer("$job", "(ehlogate)", "$instance", `(mx1:10045)`, "$__rate_interval", "1m", "$__range", "6h")
	d := readDashboard(t)
	for _, p := range d.Panels {
		if p.Panel == nil {
			continue
		}
		for _, target := range p.Panel.Targets {
			data, ok := target.(*prometheus.Dataquery)
			if !ok || data.Datasource == nil || *data.Datasource.Uid != "${DS_PROMETHEUS}" {
				t.Fatalf("%q: got a %T, want a query for the data source that the operator chooses", *p.Panel.Title, target)
			}
			queries = append(queries, query{*p.Panel.Title, values.Replace(data.Expr), *data.LegendFormat, p.Panel.Type == "table"})
		}
	}
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		labels := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(fmt.Sprint(v.Query.Map["query"]))
		if labels == nil || *v.Definition != labels[0] {
			t.Fatalf("variable %s: got the query %v", v.Name, v.Query)
		}
		queries = append(queries, query{panel: "variable " + v.Name, expr: values.Replace(labels[1]), legend: "{{" + labels[2] + "}}"})
	}
	for _, q := range queries {
		if strings.Contains(q.expr, "$") {
			t.Errorf("%q has a variable that is not there: %s", q.panel, q.expr)
		}
	}
	return queries
}

// selectors returns the parts of a query that select series.
func selectors(expr string) []string {
	return regexp.MustCompile(`[a-zA-Z_:]+\{[^}]*\}`).FindAllString(expr, -1)
}

// legendLabels returns the labels that a legend shows.
func legendLabels(legend string) (names []string) {
	for _, m := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(legend, -1) {
		names = append(names, m[1])
	}
	return names
}

// testDashboard has promtool evaluate each query of the dashboard over a recording of a daemon that uses everything. Each has
// a result with numbers, each of its selectors selects a series, and each label of its legend has a value.
func testDashboard(t *testing.T, r *recording) {
	if len(r.phases) != 2 {
		t.Fatal("the recording has no events")
	}
	present := func(expr string) exprTest {
		return exprTest{Expr: "count(" + expr + ") > bool 0", Time: fmt.Sprintf("%ds", r.start(2)-2*r.interval), Samples: []exprSample{{"{}", 1}}}
	}
	var tests []exprTest
	for _, q := range dashboardQueries(t) {
		at := present("(" + q.expr + ") == (" + q.expr + ")") // what is no number is not itself
		at.Time = fmt.Sprintf("%ds", r.start(1)+2*r.interval)
		if strings.Contains(q.expr, "ALERTS") {
			at = present(q.expr)
		}
		tests = append(tests, at)
		for _, s := range selectors(q.expr) {
			tests = append(tests, present(s))
		}
		if len(selectors(q.expr)) == 0 && !strings.HasPrefix(q.panel, "variable") || !q.table && len(legendLabels(q.legend)) == 0 && q.legend == "" {
			t.Errorf("%q: no selector, or no legend: %s", q.panel, q.expr)
		}
		for _, label := range legendLabels(q.legend) {
			if label == "revision" { // a test binary has none
				continue
			}
			labelled := at
			labelled.Expr = fmt.Sprintf(`count(label_replace(vector(1), "found", "yes", "", "") and on (found) label_replace(%s, "found", "yes", %q, ".+")) > bool 0`, q.expr, label)
			tests = append(tests, labelled)
		}
	}
	slices.SortFunc(tests, func(a, b exprTest) int { return strings.Compare(a.Time+a.Expr, b.Time+b.Expr) })
	r.evaluate(t, slices.CompactFunc(tests, func(a, b exprTest) bool { return a.Time+a.Expr == b.Time+b.Expr }))
}
