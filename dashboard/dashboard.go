// Package dashboard is a page that shows a living ring: its nodes at their places, the
// traffic between them, routes, runs and their verdicts, and what has happened.
//
//	http.Handle("/ring/", http.StripPrefix("/ring", dashboard.Handler(registry)))
//
// The page uses relative addresses only and fetches nothing from elsewhere. It looks; what
// it may do to the ring is off unless [WithControl] turns it on.
//
// # Paths
//
//	GET  ./               the page
//	GET  ./snapshot.json  ringdht.Snapshot as JSON: all of the ring at one moment
//	GET  ./node.json?id=  one member of it, or what is remembered of one that is gone
//	GET  ./audit.json     ringdht.Audit of the tables; computed once an epoch
//	GET  ./events         server-sent events for the page, see protocol.go; they may change
//	POST ./trace          {"from": id, "to": id}: has one node trace the route to another
//	POST ./setup          {"k": entries, "plan": "classic" or "fewest hops"}; with WithControl
//	POST ./run            {"messages": n, "payload": bytes}; with WithControl
//
// A POST answers when what it asks for has ended: trace with {"predicted": [ids], "hops":
// [{"id", "elapsed_ns"}], "error"}, setup with the audit, run with the outcome of the run. What
// fails is {"error": "..."}. IDs and lives are numbers of 64 bits: lives never fit into the 53 that
// some readers of JSON keep, IDs do in rings of no more. In what is sent to the handler IDs may be
// strings as well.
//
// # Who may ask
//
// Requests are answered only under an IP address, localhost, or a name given with
// [WithHosts], so that a page elsewhere cannot point a name of its own at this server and
// read it. POST requests from other sites are refused. A proxy in front must pass on the Host
// that it was asked under, or see to the names itself: many put an address there. There is no login: whoever
// reaches the port sees the ring, and with WithControl commands it. To keep people out,
// listen on the loopback interface, or wrap the handler.
//
// # What it costs
//
// Nothing while nobody looks. While pages are open one goroutine takes one snapshot an
// interval for all of them and encodes what has changed once. A page that does not read
// what it is sent is dropped, and connects again by itself.
package dashboard

import (
	"net/http"
	"time"

	"github.com/x/ringdht"
)

// Option is an option of [Handler].
type Option func(*handler)

// WithControl lets the page set the overlay up and start traffic runs. Whoever reaches the
// handler may do so then.
func WithControl() Option { return func(h *handler) { h.control = true } }

// WithHosts adds names that the handler may be asked under, besides localhost and all IP
// addresses.
func WithHosts(names ...string) Option {
	return func(h *handler) { h.hosts = append(h.hosts, names...) }
}

// WithInterval sets how often open pages are told what is new, 500 ms by default and at
// least 50 ms. Nodes report to their registry thrice a lease, so that more is of little use.
func WithInterval(d time.Duration) Option {
	return func(h *handler) { h.interval = max(d, 50*time.Millisecond) }
}

// handler is static after construction, but for what its parts hold.
type handler struct {
	r        *ringdht.Registry
	control  bool
	hosts    []string
	interval time.Duration

	sampler     *sampler
	broadcaster *broadcaster
	audits      audits
	traces      chan struct{} // a slot for each trace under way
	mux         *http.ServeMux
}

// maxTraces is how many traces may be under way at once: each costs every node on its
// route a little, and anybody may ask.
const maxTraces = 8

// Handler returns what serves the page of a ring. It may be mounted anywhere with
// [http.StripPrefix]. It sets its own deadlines for writing; the server should have a
// ReadHeaderTimeout, and no WriteTimeout, which would end the stream of events. A page's
// stream ends with its request's context: a server that shuts down should end its
// BaseContext.
func Handler(r *ringdht.Registry, opts ...Option) http.Handler {
	h := &handler{r: r, interval: 500 * time.Millisecond, traces: make(chan struct{}, maxTraces), mux: http.NewServeMux()}
	for _, o := range opts {
		o(h)
	}
	h.sampler = &sampler{take: r.Snapshot, maxAge: h.interval}
	h.broadcaster = newBroadcaster(h.sampler, h.interval, h.control)
	for path, f := range page {
		h.mux.Handle("GET "+path, f)
	}
	h.mux.HandleFunc("GET /events", h.events)
	h.mux.HandleFunc("GET /snapshot.json", h.snapshot)
	h.mux.HandleFunc("GET /node.json", h.node)
	h.mux.HandleFunc("GET /audit.json", h.audit)
	h.mux.HandleFunc("POST /trace", h.trace)
	h.mux.HandleFunc("POST /setup", h.setup)
	h.mux.HandleFunc("POST /run", h.run)
	return h.guard(h.mux)
}
