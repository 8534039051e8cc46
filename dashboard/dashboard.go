// Package dashboard serves a live page of a ring: its nodes at their positions, the traffic
// between them, routes, traffic runs with their verdicts, and events.
//
//	http.Handle("/ring/", http.StripPrefix("/ring", dashboard.Handler(registry)))
//
// The page uses relative addresses only and fetches nothing from other sites. It is read-only
// unless [WithControl] is given. Each node has a link of its own: the page's address and #node=ID.
//
// # Paths
//
//	GET  ./               the page
//	GET  ./snapshot.json  status.Snapshot as JSON: the whole ring at one moment
//	GET  ./node.json?id=  one member of it, or the last status of one that is gone
//	GET  ./audit.json     status.Audit of the tables; computed once an epoch
//	GET  ./events         server-sent events for the page, see protocol.go; may change
//	POST ./trace          {"from": id, "to": id}: lets one node trace the route to another
//	POST ./setup          {"k": entries, "plan": "classic" or "fewest hops"}; with WithControl
//	POST ./run            {"messages": n, "payload": bytes}; with WithControl
//	POST ./stop           {}: stops the run under way; with WithControl
//	POST ./login          {"key": "..."}: trades the key for a cookie; with WithLogin
//
// With WithJoinLine, WithLogin and WithControl, for a secure ring:
//
//	POST ./token          {"once": bool, "for": "10m", "id": id}: makes a token
//	POST ./rotate-tokens  {}: ends all tokens, and makes a new one
//	POST ./expel          {"id": id}: expels a node
//	POST ./rotate-key     {}: gives the ring a new key
//
// A POST answers when the operation has ended: trace with {"predicted": [ids], "hops":
// [{"id", "elapsed_ns"}], "error"}, setup with the audit, run with the outcome of the run, and
// those of a secure ring with {"join": "the join line from now on"}.
// An error is {"error": "..."}.
//
// IDs and incarnations are 64-bit numbers. Some JSON readers keep 53 bits only: incarnations
// never fit, and IDs fit in rings of up to 53 bits. In requests IDs may also be strings.
//
// # Access
//
// Without [WithLogin] a client that can reach the port sees the ring, and with WithControl
// controls it. Then listen on the loopback interface, or wrap the handler.
//
// Other sites are kept out. The handler answers requests only if their Host is an IP address,
// localhost, or a name given with [WithHosts]. Otherwise a page of another site could point a
// name of its own at this server and read it (DNS rebinding). POST requests from other
// sites are refused. A proxy in front must pass on the original Host, or check names itself:
// many proxies replace it by an address.
//
// # Cost
//
// There is no cost while no page is open. While pages are open, one goroutine takes one
// snapshot an interval for all of them, and encodes the changes once. A page that does not
// read its updates is dropped; it connects again by itself.
package dashboard

import (
	"net/http"
	"time"

	"github.com/x/ringdht"
)

// Option is an option of [Handler].
type Option func(*handler)

// WithControl lets the page set the overlay up and start traffic runs. Anyone who can reach
// the handler can then do so.
func WithControl() Option { return func(h *handler) { h.control = true } }

// WithHosts adds names to those that the handler accepts as Host: localhost and all IP
// addresses.
func WithHosts(names ...string) Option {
	return func(h *handler) { h.hosts = append(h.hosts, names...) }
}

// WithJoin gives the command with which a node joins. The page shows it while the ring is
// empty. In it, {host} stands for the name under which the page is open in the browser: a
// registry that listens on all addresses is reached by the same name.
func WithJoin(command string) Option { return func(h *handler) { h.join = command } }

// WithInterval sets the time between two updates of an open page: 500 ms by default. A shorter
// time than 50 ms counts as 50 ms. Nodes report to their registry three times a lease, and
// less often in large rings, so a shorter interval shows little more.
func WithInterval(d time.Duration) Option {
	return func(h *handler) { h.interval = max(d, 50*time.Millisecond) }
}

// handler is immutable after construction; its parts have state of their own.
type handler struct {
	r        *ringdht.Registry
	control  bool
	join     string
	hosts    []string
	login    *login // nil without one
	joinLine func(token ...uint32) (string, error)
	interval time.Duration

	sampler     *sampler
	broadcaster *broadcaster
	audits      audits
	traces      chan struct{} // holds a token for each trace that runs
	runs        chan struct{} // holds a token for each request for a run that is not over
	mux         *http.ServeMux
}

// maxTraces bounds the traces that run at once: each makes work for the nodes on its route,
// and any client may ask for one.
const maxTraces = 8

// Handler returns a handler that serves the page of a ring. It can be mounted under any
// prefix with [http.StripPrefix].
//
// The handler sets its own write deadlines. The server should have a ReadHeaderTimeout, but
// no WriteTimeout, which would end the stream of events. A page's stream ends with the
// context of its request, so a server that shuts down should end its BaseContext.
func Handler(r *ringdht.Registry, opts ...Option) http.Handler {
	h := &handler{r: r, interval: 500 * time.Millisecond, traces: make(chan struct{}, maxTraces), runs: make(chan struct{}, maxRuns), mux: http.NewServeMux()}
	for _, o := range opts {
		o(h)
	}
	h.sampler = &sampler{take: r.Snapshot, maxAge: h.interval}
	h.broadcaster = newBroadcaster(h.sampler, h.interval, pageOptions{h.control, h.join})
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
	h.mux.HandleFunc("POST /stop", h.stop)
	h.mux.HandleFunc("POST /token", h.token)
	h.mux.HandleFunc("POST /rotate-tokens", h.rotateTokens)
	h.mux.HandleFunc("POST /rotate-key", h.rotateKey)
	h.mux.HandleFunc("POST /expel", h.expel)
	return h.guard(h.guardLogin(h.mux))
}
