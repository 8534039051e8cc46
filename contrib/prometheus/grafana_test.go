package ringprom

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

// notShown lists the families that the dashboard does not show, and why. Of the figures that
// the ring, its members and its nodes have in common, the ring's are enough.
var notShown = map[string]string{
	"ringdht_handlers_limit":               "a setting; how many handlers run is not known",
	"ringdht_member_incarnation":           "the event of a death says it",
	"ringdht_secure":                       "a setting",
	"ringdht_valid_tokens":                 "the page of the registry lists them",
	"ringdht_expelled_nodes":               "the event says it, and the registry lists them",
	"ringdht_admission_left_min_seconds":   "it is for an alert",
	"ringdht_strangers_total":              "the registry's list of strangers says more",
	"ringdht_member_table_entries":         "as the ring's, but for tiny rings",
	"ringdht_node_table_entries":           "its links are shown, up and down",
	"ringdht_member_info":                  "a label for queries that join it; only members with names have it",
	"ringdht_node_info":                    "as that of members",
	"ringdht_keys_held_arcs":               "as the registry has decided, but for a moment",
	"ringdht_keys_sources":                 "few programs want it",
	"ringdht_keys_asks_total":              "a source asks once for each arc",
	"ringdht_keys_refusals_received_total": "as those that were sent, but for a moment",
	"ringdht_keys_given_arcs_total":        "the moves say it",
	"ringdht_keys_taken_arcs_total":        "as above",
	"ringdht_keys_taken_bytes_total":       "as those that were given",
	"ringdht_keys_merges_total":            "it costs a refusal for some messages",
	"ringdht_keys_messages_repeated_total": "the program asked for it; unknown outcomes are shown",
}

type dashboard struct {
	UID           string
	Title         string
	SchemaVersion int
	Annotations   struct{ List []struct{ Expr string } }
	Templating    struct {
		List []struct {
			Name, Type string
			Datasource *source
			Definition string
			Query      any
		}
	}
	Panels []panel
}

type source struct{ Type, UID string }

type panel struct {
	ID         int
	Type       string
	Title      string
	Datasource *source
	GridPos    struct{ X, Y, W, H int }
	Targets    []struct {
		RefID, Expr string
		Datasource  *source
	}
}

func readDashboard(t *testing.T) *dashboard {
	t.Helper()
	text, err := os.ReadFile("grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

// queries returns all expressions of a dashboard, by their place.
func (d *dashboard) queries() map[string]string {
	all := make(map[string]string)
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			all["variable "+v.Name] = v.Definition
		}
	}
	for _, a := range d.Annotations.List {
		if a.Expr != "" {
			all["annotations"] = a.Expr
		}
	}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all[p.Title+" "+target.RefID] = target.Expr
		}
	}
	return all
}

var (
	metricName = regexp.MustCompile(`ringdht_[a-z0-9_]+`)
	selector   = regexp.MustCompile(`(ringdht_[a-z0-9_]+)\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	suffixes   = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// family returns the family of a name in a query, if there is one.
func family(families map[string]*dto.MetricFamily, name string) *dto.MetricFamily {
	if f := families[name]; f != nil {
		return f
	}
	if f := families[suffixes.ReplaceAllString(name, "")]; f != nil && f.GetType() == dto.MetricType_HISTOGRAM {
		return f
	}
	return nil
}

// values returns the values of a label in a family.
func values(f *dto.MetricFamily, label string) (all []string) {
	for _, m := range f.Metric {
		for _, l := range m.Label {
			if l.GetName() == label {
				all = append(all, l.GetValue())
			}
		}
	}
	return all
}

// The dashboard asks only for metrics that exist, and shows all except notShown.
func TestDashboardShowsWhatThereIs(t *testing.T) {
	families := make(map[string]*dto.MetricFamily)
	for _, f := range emitted(t) {
		families[f.GetName()] = f
	}
	shown := make(map[string]bool)
	for where, query := range readDashboard(t).queries() {
		names := metricName.FindAllString(query, -1)
		if len(names) == 0 {
			t.Errorf("%s asks for nothing: %s", where, query)
		}
		for _, name := range names {
			f := family(families, name)
			if f == nil {
				t.Errorf("%s: there is no %s", where, name)
				continue
			}
			shown[f.GetName()] = true
		}
		for _, s := range selector.FindAllStringSubmatch(query, -1) {
			for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
				f := family(families, s[1])
				if f == nil {
					continue
				}
				have := values(f, m[1])
				if len(have) == 0 || m[2] == "=" && !slices.Contains(have, m[3]) {
					t.Errorf("%s: %s has no %s", where, s[1], m[0])
				}
			}
		}
	}
	common := []string{"message_hops", "delivery_latency_seconds"}
	for _, row := range table {
		common = append(common, row.name)
	}
	for _, row := range keyTable {
		common = append(common, row.name)
	}
	for name := range families {
		of, rest := split(name)
		_, listed := notShown[name]
		switch {
		case listed && shown[name]:
			t.Errorf("%s is shown, and listed as not shown", name)
		case of != "ring" && slices.Contains(common, rest): // the ring's is shown, or listed
		case !listed && !shown[name]:
			t.Errorf("%s is not shown", name)
		}
	}
	for name := range notShown {
		if families[name] == nil {
			t.Errorf("%s is listed as not shown, and is not there at all", name)
		}
	}
}

// Grafana 10 can import the dashboard: every query goes to the chosen data source, and panels
// have numbers and places of their own.
func TestDashboardIsWhole(t *testing.T) {
	d := readDashboard(t)
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 37 || d.SchemaVersion > 39 { // the versions of Grafana 10; later ones migrate
		t.Errorf("UID %q, title %q, schema %d", d.UID, d.Title, d.SchemaVersion)
	}
	if v := d.Templating.List[0]; v.Name != "datasource" || v.Type != "datasource" || v.Query != "prometheus" {
		t.Errorf("the first variable is %+v", v)
	}
	picked := source{"prometheus", "${datasource}"}
	for _, v := range d.Templating.List[1:] {
		if v.Datasource == nil || *v.Datasource != picked {
			t.Errorf("variable %s asks %v", v.Name, v.Datasource)
		}
	}
	ids := make(map[int]bool)
	taken := make(map[[2]int]string)
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 || p.Title == "" {
			t.Errorf("panel %d %q: its number is taken, or it has no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		if g := p.GridPos; g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("%s is off the grid: %+v", p.Title, g)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if taken[at] != "" {
					t.Errorf("%s lies on %s", p.Title, taken[at])
				}
				taken[at] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if !slices.Contains([]string{"timeseries", "stat", "heatmap"}, p.Type) || p.Datasource == nil || *p.Datasource != picked || len(p.Targets) == 0 {
			t.Errorf("%s: a %s with %d queries to %v", p.Title, p.Type, len(p.Targets), p.Datasource)
		}
		for i, target := range p.Targets {
			if target.RefID != string(rune('A'+i)) || target.Datasource == nil || *target.Datasource != picked {
				t.Errorf("%s: query %q to %v", p.Title, target.RefID, target.Datasource)
			}
			if strings.Count(target.Expr, "(") != strings.Count(target.Expr, ")") || strings.Contains(target.Expr, "ringdht_") && !strings.Contains(target.Expr, `ring=~"$ring"`) {
				t.Errorf("%s: %s", p.Title, target.Expr)
			}
		}
	}
}
