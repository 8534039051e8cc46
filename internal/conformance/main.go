// Conformance checks a node, in any language, against the rules of PROTOCOL.md:
//
//	go run ./internal/conformance -node './mynode {registry}'
//
// It plays the registry and the peers over TCP on this machine. For each check it starts the
// command, with {registry} replaced by its own address, and ends it. The ring is open; with -secure
// it is a secure one, {registry} is a join line, and the checks are those of section 16. The node
// may use the codec json or msgpack. Each line of the output is one check: ok, FAIL or warn, the
// number of the rule, and what was checked. warn is for rules with SHOULD. The exit code is 1 if a
// check failed.
//
// What a command needs: it joins the registry, registers at a port of 127.0.0.1, and takes part in
// traffic runs (field traffic of Register); without them the checks of runs are skipped. Give the
// program itself and not go run, which would leave it behind.
//
//   - world.go: the process of the node, and the registry that it talks to.
//   - peer.go: the peers, and their links.
//   - security.go: what both present in a secure ring.
//   - checks_*.go: the checks, by section of PROTOCOL.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

func main() {
	command := flag.String("node", "", "the `command` that starts a node, with {registry} for the registry's address")
	only := flag.String("run", "", "only the checks whose line contains this `text`")
	secured := flag.Bool("secure", false, "the checks of a secure ring; {registry} is a join line then")
	ring := flag.String("ring", "ring", "the `name` of the ring that the node asks for")
	flag.DurationVar(&patience, "patience", patience, "how `long` to wait for what the node must do")
	verbose := flag.Bool("v", false, "show what the node prints")
	flag.Parse()
	if !strings.Contains(*command, "{registry}") || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, `usage: conformance -node 'command with {registry}'`)
		os.Exit(2)
	}
	c := config{command: strings.Fields(*command), ring: *ring, only: *only, secure: *secured, log: io.Discard, watch: watchTime}
	if *verbose {
		c.log = os.Stderr
	}
	if !c.run(os.Stdout) {
		os.Exit(1)
	}
}

// config says what is checked.
type config struct {
	command []string
	ring    string        // its name
	only    string        // part of the line of the checks to run
	secure  bool          // the ring is secure
	log     io.Writer     // what the node prints
	watch   time.Duration // how long a check looks for what must not come
}

// watchTime is long enough on a machine that does not do much else.
const watchTime = 300 * time.Millisecond

// check is one check of one rule.
type check struct {
	rule string // "R40"
	must bool   // else a failure is a warning
	what string
	run  func(w *world) error
}

// errSkipped means that the node does not do what the check is about, and need not.
var errSkipped = errors.New("skipped")

// run runs the checks, each with a process of its own, and reports whether none failed.
func (c config) run(out io.Writer) bool {
	failed, warned := 0, 0
	var picked []check
	all := checks()
	if c.secure {
		all = secureChecks
	}
	for _, k := range all {
		if strings.Contains(k.line(), c.only) {
			picked = append(picked, k)
		}
	}
	results := make([]chan error, len(picked))
	slots := make(chan struct{}, atOnce)
	for i, k := range picked {
		results[i] = make(chan error, 1)
		go func() {
			slots <- struct{}{}
			results[i] <- c.try(k)
			<-slots
		}()
	}
	for i, k := range picked {
		switch err := <-results[i]; {
		case err == nil:
			fmt.Fprintln(out, "ok  ", k.line())
		case errors.Is(err, errSkipped):
			fmt.Fprintf(out, "skip %s: %v\n", k.line(), err)
		case k.must:
			failed++
			fmt.Fprintf(out, "FAIL %s: %v\n", k.line(), err)
		default:
			warned++
			fmt.Fprintf(out, "warn %s: %v\n", k.line(), err)
		}
	}
	fmt.Fprintf(out, "%d checks, %d failed, %d warnings\n", len(picked), failed, warned)
	return failed == 0
}

// atOnce is how many processes run at the same time. Most of them wait.
const atOnce = 4

func (k check) line() string { return fmt.Sprintf("%-4s %s", k.rule, k.what) }

// try runs one check against a process of its own.
func (c config) try(k check) error {
	w, err := newWorld(c)
	if err != nil {
		return err
	}
	defer w.close()
	return k.run(w)
}

func checks() (all []check) {
	for _, some := range [][]check{handshakeChecks, linkChecks, membershipChecks, lifeChecks, tableChecks, routingChecks, serviceChecks, sinkChecks, sourceChecks, bundleSinkChecks, bundleSourceChecks} {
		all = append(all, some...)
	}
	return all
}
