// Web is a service of several instances that share a cache: GET /primes/N counts the primes up to N. Each
// N has an owner among the instances, which counts once and keeps the answer; all others ask it. In
// terminals of their own, with a port for each:
//
//	go run ./examples/registry -setup auto 12345
//	go run ./examples/web -http localhost:8081 localhost:12345
//	go run ./examples/web -http localhost:8082 localhost:12345
//	curl -i localhost:8081/primes/100000
//
// In a secure ring the registry's join line takes the place of localhost:12345; the variable
// RINGDHT_JOIN keeps it off the command line. A registry that has just started admits instances after
// two leases, so 6 s: earlier members come back first.
//
// If an owner leaves or dies, the numbers that it owned have other owners, which count again: a cache
// may. So a request is answered as long as an instance is there. A former owner keeps its answers, and
// has them still when it owns the number again: to invalidate one, tell all instances. State that must
// not be lost, such as a basket, would have to be handed over or stored elsewhere.
//
// /livez says that the process serves, /readyz whether to send requests here. An interrupted instance
// (Ctrl-C, SIGTERM) is not ready from then on. It serves for -drain, until the balancer knows; answers
// the requests under way; leaves the ring, where it answers the others; and ends. So all instances can
// be restarted in turn. A second interrupt ends it at once.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/health"
	"github.com/x/ringdht/rpc"
	"github.com/x/ringdht/status"
)

const (
	Count     = rpc.Method[int, int]("count") // a number, and how many primes there are up to it
	maxNumber = 100_000
	maxKept   = 10_000          // answers
	patience  = 5 * time.Second // with an owner
)

var (
	listen = flag.String("http", "localhost:8081", "the `host:port` of the service")
	name   = flag.String("name", "", "the `name` of this instance, which no other node may have")
	drain  = flag.Duration("drain", 3*time.Second, "how long to serve on when interrupted: until the balancer has asked /readyz again, or it would still send requests to an instance that is gone")
	grace  = flag.Duration("grace", 10*time.Second, "how long the requests under way may take then")
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("web: ")
	slog.SetLogLoggerLevel(slog.LevelWarn)
	flag.Usage = func() { log.Print("usage: web [flags] host:port (or a join line)"); flag.PrintDefaults() }
	flag.Parse()
	addr := cmp.Or(flag.Arg(0), os.Getenv("RINGDHT_JOIN"))
	if addr == "" || flag.NArg() > 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() { stop(); log.Print("Interrupted: it ends after the requests under way.") })
	if err := serve(ctx, addr); err != nil {
		log.Fatal(err)
	}
}

// serve is an instance's life.
func serve(ctx context.Context, addr string) error {
	n := ringdht.NewNode(ringdht.WithName(*name), ringdht.WithRetry(), ringdht.WithLogger(slog.Default()))
	i := newInstance(n, primesUpTo)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /primes/{number}", i.primes)
	probes := health.Handler(func() error { // it answers before the node has joined
		if ctx.Err() != nil {
			return errors.New("it is about to leave")
		}
		return n.ReadyNow()
	})
	mux.Handle("/livez", probes)
	mux.Handle("/readyz", probes)
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	defer server.Close()
	go server.Serve(l)
	log.Printf("Serving at http://%s/", l.Addr())
	go func() {
		if n.Ready(ctx) == nil {
			log.Printf("Node %v is ready.", n.Self())
		}
	}()

	ring, leave := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { // the node leaves last: requests need it
		time.Sleep(*drain)
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), *grace)
		defer cancel()
		server.Shutdown(end)
		leave()
	})
	return n.Serve(ring, *grace, addr)
}

// instance is a member of the service.
type instance struct {
	node      *ringdht.Node
	instances *rpc.Endpoint
	work      func(number int) int

	mu   sync.Mutex
	kept map[int]*entry // the answers for numbers that this instance owns
}

// entry is an answer, or the work that makes it.
type entry struct {
	answer func() int
}

func newInstance(n *ringdht.Node, work func(number int) int) *instance {
	i := &instance{node: n, instances: rpc.New(n, "primes"), work: work, kept: make(map[int]*entry)}
	Count.Handle(i.instances, i.count)
	return i
}

// primes answers a request.
func (i *instance) primes(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.Atoi(r.PathValue("number"))
	if err != nil || number < 0 || number > maxNumber {
		http.Error(w, fmt.Sprintf("expected a number up to %d", maxNumber), http.StatusBadRequest)
		return
	}
	primes, owner, err := ask(r.Context(), i, Count, number)
	if err != nil {
		code := http.StatusServiceUnavailable // the client may ask another instance
		if _, answered := errors.AsType[*rpc.Error](err); answered && !elsewhere(err) {
			code = http.StatusInternalServerError
		}
		http.Error(w, err.Error(), code)
		return
	}
	w.Header().Set("X-Owner", owner.String())
	fmt.Fprintln(w, primes)
}

// elsewhere reports whether another instance may be asked, also when this one did not answer in time. Else
// the error is an instance's answer, such as that its handler panicked: the next one would do the same.
func elsewhere(err error) bool {
	return errors.Is(err, rpc.ErrNotHandled) || errors.Is(err, rpc.ErrUnknown) || errors.Is(err, context.DeadlineExceeded)
}

// ask calls a method of the owner of a number. If that does not answer, the next instance is the owner:
// so the method may run on both. It is for methods that any instance may answer. One about what the owner
// keeps, such as to forget it, must not go on to another instance while the owner may be there.
func ask[Answer any](ctx context.Context, i *instance, method rpc.Method[int, Answer], number int) (answer Answer, owner status.MemberInfo, err error) {
	if err := i.node.ReadyNow(); err != nil {
		return answer, owner, err
	}
	err = errors.New("no instance is known")
	for _, owner = range i.owners(number) {
		limit, cancel := context.WithTimeout(ctx, patience)
		answer, err = method.Call(limit, i.instances, owner.ID, number)
		cancel()
		if err == nil || ctx.Err() != nil || !elsewhere(err) {
			break
		}
		log.Printf("Node %v does not answer for %d: %v", owner, number, err)
	}
	return answer, owner, err
}

// owners returns the instances in the order in which they own a number. All instances have the same
// order as long as they know the same members. If one goes, only the numbers that it owned move.
func (i *instance) owners(number int) []status.MemberInfo {
	weight := func(m status.MemberInfo) uint64 {
		h := fnv.New64a()
		fmt.Fprintf(h, "%d %s", number, cmp.Or(m.Name, m.ID.String())) // a restart keeps the name
		return h.Sum64()
	}
	members, _ := i.instances.Service().Members()
	slices.SortFunc(members, func(a, b status.MemberInfo) int { return cmp.Compare(weight(a), weight(b)) })
	return members
}

// count handles a request of another instance, or of this one.
func (i *instance) count(_ context.Context, number int) (int, error) {
	i.mu.Lock()
	e := i.kept[number]
	if e == nil { // requests for it wait while it is counted; if that panics, each of them does
		for other := range i.kept { // in no order
			if len(i.kept) < maxKept {
				break
			}
			delete(i.kept, other)
		}
		e = &entry{sync.OnceValue(func() int { return i.work(number) })}
		i.kept[number] = e
	}
	i.mu.Unlock()
	counted := false
	defer func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		if !counted && i.kept[number] == e { // it has panicked: a later request counts again
			delete(i.kept, number)
		}
	}()
	primes := e.answer()
	counted = true
	return primes, nil
}

// primesUpTo is the work.
func primesUpTo(number int) (primes int) {
	for p := range int64(number + 1) {
		if big.NewInt(p).ProbablyPrime(0) {
			primes++
		}
	}
	return primes
}
