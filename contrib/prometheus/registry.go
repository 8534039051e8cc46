package ringprom

import (
	"math"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// The values of labels. Each is sent at all times: a series that begins with 1 has no
// increase.
var (
	states = []status.State{
		status.StateRegistered, status.StateLinking, status.StateActive, status.StateSuspect, status.StateStuck, status.StateLeaving,
	}
	kinds = []status.EventKind{
		status.EventJoined, status.EventReady, status.EventLeft, status.EventDead, status.EventSuspect, status.EventBack,
		status.EventDegraded, status.EventHealed, status.EventLeftOut, status.EventCounts, status.EventLedAround, status.EventRelays, status.EventRebuilt, status.EventOtherRing, status.EventState, status.EventSetup, status.EventRun, status.EventRunEnded,
		status.EventExpelled, status.EventRefused, status.EventSecurity,
	}
	refusals = []status.Refusal{
		status.RefusedPlain, status.RefusedHandshake, status.RefusedStolen, status.RefusedForeign, status.RefusedExpired,
		status.RefusedRevoked, status.RefusedNone, status.RefusedSecret, status.RefusedToken, status.RefusedID, status.RefusedAddress,
	}
	verdicts = []string{status.VerdictExact, status.VerdictBalanced, status.VerdictStopped, status.VerdictWrong}
)

// word returns a label's value for a text: "set up" becomes set_up.
func word[S ~string](s S) string { return strings.ReplaceAll(strings.ToLower(string(s)), " ", "_") }

// registryCollector collects a ring from its registry. It describes all of its metrics, so
// that the same ring is not registered twice.
type registryCollector struct {
	r   *ringdht.Registry
	set set

	figures figureMetrics
	hops    histogram
	latency histogram

	info, epoch, live, ready, entries, lease        metric
	members, degraded, sidelined, heartbeat, events metric

	secure, refused, tokens, expelled, admission metric

	runs, running, runMessages                                 metric
	lastMessages, lastDuration, lastMean, lastMax, lastVerdict metric

	keys keyRingMetrics

	each *memberMetrics // nil without WithNodes
}

// NewRegistryCollector returns a collector of a ring: its membership, and sums over all
// members. With [WithNodes] it also has each member. The constant label ring is the ring's
// name.
func NewRegistryCollector(r *ringdht.Registry, opts ...RegistryOption) prometheus.Collector {
	var cfg registryConfig
	for _, o := range opts {
		o(&cfg)
	}
	ring := prometheus.Labels{"ring": r.Snapshot().Ring}
	c := &registryCollector{r: r, set: set{prefix: "ringdht_", constant: ring}}
	s := &c.set
	c.figures, c.hops, c.latency = s.figures(), s.hops(), s.latency()

	c.info = s.gauge("info", "Always 1; the size of IDs and the plan of the routing tables.", "bits", "plan")
	c.epoch = s.gauge("epoch", "Version of the membership and the tables. It only grows.")
	c.live = s.gauge("live", "Whether the overlay was set up.")
	c.ready = s.gauge("ready", "Whether every member is part of the ring and uses the table that it should.")
	c.entries = s.gauge("table_entries", "Entries of a routing table.")
	c.lease = s.gauge("lease_seconds", "How long a member may be silent before it is declared dead.")
	c.members = s.gauge("members", "Members by state.", "state")
	c.degraded = s.gauge("degraded_pairs", "Pairs of members of which the first cannot reach the second.")
	c.sidelined = s.gauge("sidelined_members", "Members that routes lead around, since they pass nothing on.")
	c.heartbeat = s.gauge("heartbeat_age_max_seconds", "Time since the last heartbeat of the member that has been silent longest.")
	c.events = s.counter("events_total", "Events in the ring since the registry was started, by kind.", "kind")

	c.secure = s.gauge("secure", "Whether the ring is secure.")
	c.refused = s.counter("refused_total", "Connections and registrations that the registry refused for their credentials, by cause.", "cause")
	c.tokens = s.gauge("valid_tokens", "Tokens by which nodes can join.")
	c.expelled = s.gauge("expelled_nodes", "Nodes that were expelled and whose admissions have not expired yet.")
	c.admission = s.gauge("admission_left_min_seconds", "Time until the first member's admission expires, unless it is renewed. +Inf if no member has one.")

	c.runs = s.counter("traffic_runs_total", "Traffic runs that have ended, by verdict.", "verdict")
	c.running = s.gauge("traffic_run_active", "Whether a traffic run is active.")
	c.runMessages = s.gauge("traffic_run_messages", "Messages of the active traffic run: planned, sent and received so far; 0 if there is none.", "stage")
	c.lastMessages = s.gauge("last_traffic_run_messages", "Messages sent and received in the latest traffic run that has ended.", "stage")
	c.lastDuration = s.gauge("last_traffic_run_duration_seconds", "How long the latest traffic run took.")
	c.lastMean = s.gauge("last_traffic_run_mean_hops", "Mean of the links that messages of the latest traffic run crossed.")
	c.lastMax = s.gauge("last_traffic_run_max_hops", "Most links that a message of the latest traffic run crossed.")
	c.lastVerdict = s.gauge("last_traffic_run_verdict", "1 for the verdict of the latest traffic run, 0 for others.", "verdict")
	c.keys = s.keyRing()
	if cfg.nodes {
		c.each = newMemberMetrics(ring)
	}
	return c
}

// Describe implements [prometheus.Collector].
func (c *registryCollector) Describe(ch chan<- *prometheus.Desc) {
	c.set.describe(ch)
	if c.each != nil {
		c.each.set.describe(ch)
	}
}

// Collect implements [prometheus.Collector].
func (c *registryCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.r.Snapshot()
	f := figures{Counters: s.Total}
	for i := range s.Members {
		f.add(&s.Members[i].Node)
	}
	c.figures.send(ch, &f)
	c.hops.sendHops(ch, s.Hops)
	c.latency.sendLatency(ch, s.Latency)
	c.collectRing(ch, s)
	c.collectSecurity(ch, s)
	c.collectRuns(ch, s)
	c.keys.send(ch, s)
	if c.each != nil {
		c.each.collect(ch, s)
	}
}

func (c *registryCollector) collectRing(ch chan<- prometheus.Metric, s *status.Snapshot) {
	c.info.send(ch, 1, strconv.Itoa(s.Bits), word(s.Plan))
	c.epoch.send(ch, float64(s.Epoch))
	c.live.send(ch, truth(s.Live))
	c.ready.send(ch, truth(s.Live && len(s.Missing) == 0))
	c.entries.send(ch, float64(s.Entries))
	c.lease.send(ch, s.Lease.Seconds())
	c.degraded.send(ch, float64(len(s.Degraded)))
	c.sidelined.send(ch, float64(len(s.Sidelined)))

	standing := make(map[status.State]int)
	var silent float64
	for i := range s.Members {
		standing[s.Members[i].State]++
		silent = max(silent, age(s, &s.Members[i]))
	}
	for _, state := range states {
		c.members.send(ch, float64(standing[state]), word(state))
	}
	c.heartbeat.send(ch, silent)
	for _, kind := range kinds {
		c.events.send(ch, float64(s.Happened[kind]), word(kind))
	}
}

// collectSecurity sends the same series of an open ring, so that a count begins at 0.
func (c *registryCollector) collectSecurity(ch chan<- prometheus.Metric, s *status.Snapshot) {
	var security status.Security
	if s.Security != nil {
		security = *s.Security
	}
	valid := 0
	for _, t := range security.Tokens {
		if t.Valid() {
			valid++
		}
	}
	left := math.Inf(1)
	for i := range s.Members {
		if a := s.Members[i].Admission; a != nil {
			left = min(left, a.Until.Sub(security.Time).Seconds())
		}
	}
	c.secure.send(ch, truth(s.Security != nil))
	for _, cause := range refusals {
		c.refused.send(ch, float64(security.Refusals[cause]), word(cause))
	}
	c.tokens.send(ch, float64(valid))
	c.expelled.send(ch, float64(len(security.Expelled)))
	c.admission.send(ch, left)
}

func (c *registryCollector) collectRuns(ch chan<- prometheus.Metric, s *status.Snapshot) {
	for _, v := range verdicts {
		c.runs.send(ch, float64(s.Verdicts[v]), word(v))
	}
	var now status.Running
	if s.Running != nil {
		now = *s.Running
	}
	c.running.send(ch, truth(s.Running != nil))
	c.runMessages.send(ch, float64(now.Total), "planned")
	c.runMessages.send(ch, float64(now.Sent), "sent")
	c.runMessages.send(ch, float64(now.Received), "received")
	if len(s.Runs) == 0 {
		return
	}
	last := s.Runs[len(s.Runs)-1]
	c.lastMessages.send(ch, float64(last.Sent), "sent")
	c.lastMessages.send(ch, float64(last.Received), "received")
	c.lastDuration.send(ch, last.Elapsed.Seconds())
	c.lastMean.send(ch, last.MeanHops)
	c.lastMax.send(ch, float64(last.MaxHops))
	verdict, _, _ := strings.Cut(last.Verdict, ":")
	for _, v := range verdicts {
		c.lastVerdict.send(ch, truth(v == verdict), word(v))
	}
}

// age returns how long a member has been silent, in seconds. Before its first heartbeat that
// is since it joined.
func age(s *status.Snapshot, m *status.Member) float64 {
	heard := m.Heard
	if heard.IsZero() {
		heard = m.Joined
	}
	return max(0, s.Time.Sub(heard).Seconds())
}
