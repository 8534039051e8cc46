package report

import "math"

// aim is a bound that ringdht is to reach: at least, or at most.
type aim struct {
	label                 string
	section, row          string
	system, other, metric string
	bound                 float64
	most                  bool
}

func (a aim) reached(got float64) bool {
	if a.most {
		return got <= a.bound
	}
	return got >= a.bound
}

// each returns an aim for each payload.
func each(label, section, shape, other string, bounds ...float64) (aims []aim) {
	for i, bound := range bounds {
		aims = append(aims, aim{label, section, at(shape, payloads[i]), ours, other, "msg/s", bound, false})
	}
	return aims
}

// aims compares what was measured with what is aimed at. All references are those without
// stretches.
func (d *document) aims() {
	d.title("Aims")
	var all []aim
	all = append(all, each("messages a second of one relay by hand", "Chains", "chain of 3", "relay by hand", 0.65, 0.75, 0.85)...)
	all = append(all, each("of the ideal ring, ten nodes", "Rings", "ring of 10", "ideal ring", 1, 0.8, 0.85)...)
	all = append(all, each("of NATS with GOGC=800, ten nodes", "Rings", "ring of 10", "NATS core, GOGC=800", 12, 5, 3)...)
	const delays, hop, relay = "Ping-pong", "chain of 2, 8 B", "chain of 3, 8 B"
	all = append(all,
		aim{"of NATS, 100 nodes", "Rings", at("ring of 100", 4096), ours, "NATS core", "msg/s", 1.5, false},
		aim{"of NATS with GOGC=800, 100 nodes", "Rings", at("ring of 100", 4096), ours, "NATS core, GOGC=800", "msg/s", math.NaN(), false},
		aim{"round trip over one hop, of raw", delays, hop, ours, "raw", "p50", 1.3, true},
		aim{"round trip over one hop, of raw", delays, hop, ours, "raw", "p99", 3, true},
		aim{"round trip through a relay, of by hand", delays, relay, ours, "relay by hand", "p50", 1.3, true},
		aim{"round trip through a relay, of by hand", delays, relay, ours, "relay by hand", "p99", 2, true},
	)
	for _, s := range d.sections {
		if s.Title == "Growth" {
			for _, r := range s.Rows {
				all = append(all,
					aim{"100 nodes, of ten at the same load", s.Title, r.Name, ours + ", 100 nodes", ours + ", 10 nodes", "CPU s per million", 1.3, true},
					aim{"the ideal ring: 100 nodes, of ten", s.Title, r.Name, "ideal ring, 100 nodes", "ideal ring, 10 nodes", "CPU s per million", math.NaN(), true})
			}
		}
	}
	var lines [][]string
	for _, a := range all {
		got := d.between(a.section, a.row, a.system, a.other, a.metric)
		if math.IsNaN(got.Median) {
			continue
		}
		bound, reached := dash, dash
		if !math.IsNaN(a.bound) {
			bound, reached = "at least "+quantity(a.bound, times), "no"
			if a.most {
				bound = "at most " + quantity(a.bound, times)
			}
			if a.reached(got.Median) {
				reached = "yes"
			}
		}
		lines = append(lines, []string{a.label, a.row, a.metric, cell(got, times), bound, reached})
	}
	d.table(3, []string{"", "row", "what", "measured", "aim", "reached"}, lines)
	d.b.WriteString(`
Two aims are measured by tests of the main module:

| | aim | command, in the folder above this one |
| --- | --- | --- |
| 1,000 nodes in one process, median session 84 s: join to ready, p50 and p99 | at most 0.1 s and 1 s | ` + "`go test -run Churn -v ./internal/ringtest -churn 1000 -churn.session 84s -churn.for 120s -churn.lease 3s -churn.every 5s`" + ` |
| a node at rest, share of a core | at most 0.05 % | ` + "`go test -run '^$' -bench AtRest -benchtime 60x ./internal/ringtest`" + ` |
`)
}
