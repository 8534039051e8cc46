package ringtest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// stateRole makes this binary a registry that keeps a state: its value is the directory, the
// address to listen on and the bits, separated by spaces.
const stateRole = "RINGDHT_TEST_STATE"

// stateLease is the lease of those registries.
const stateLease = 2 * time.Second

// stateProcess is the main function of such a registry. It says its address and the identity
// of its ring, and lives until its input ends.
func stateProcess(value string) {
	var dir, addr string
	var bits int
	if _, err := fmt.Sscan(value, &dir, &addr, &bits); err != nil {
		panic(err)
	}
	r, err := ringdht.NewRegistry(ringdht.WithLease(stateLease), ringdht.WithBits(bits), ringdht.WithSelfSetup(0), ringdht.WithState(dir))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	a, err := r.Listen(context.Background(), addr)
	if err != nil {
		panic(err)
	}
	fmt.Println(a, r.Snapshot().Identity+".")
	io.Copy(io.Discard, os.Stdin)
}

func stateCommand(dir, addr string, bits int) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", stateRole, dir, addr, bits))
	return cmd
}

// startState starts a registry process, and returns its address and the identity that it knows.
func startState(t *testing.T, dir, addr string) (at, identity string, kill func()) {
	t.Helper()
	cmd := stateCommand(dir, addr, 16)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		_, err = cmd.StdinPipe()
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	kill = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	fmt.Sscan(line, &at, &identity)
	return at, strings.TrimSuffix(identity, "."), kill
}

// kept is what a directory says.
type kept struct {
	Ring, Identity string
	Bits, Version  int
	Empty          bool
	Incarnation    uint64
}

func readState(t *testing.T, dir string) (k kept) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "ring.json"))
	if err == nil {
		err = json.Unmarshal(text, &k)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func joinTCP(t *testing.T, addr string) *ringtest.Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := ringtest.Join(ctx, addr, nil, ringdht.WithListen("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	if err := n.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return n
}

// A registry is killed after each step in the life of its ring, and started again.
func TestRegistryWithStateIsKilled(t *testing.T) {
	dir := t.TempDir()
	addr, id, kill := startState(t, dir, "127.0.0.1:0")
	if k := readState(t, dir); id != "" || k.Identity != "" || !k.Empty || k.Version != 2 || k.Bits != 16 {
		t.Fatalf("a new directory: %q, %+v", id, k)
	}
	restart := func(what string) {
		kill()
		_, id, kill = startState(t, dir, addr)
		t.Logf("%s: ring %.8s", what, id)
	}
	restart("before the first member")

	nodes := []*ringtest.Node{joinTCP(t, addr)}
	first := nodes[0].Status().Identity
	if k := readState(t, dir); k.Identity != first || k.Empty || k.Incarnation > nodes[0].Incarnation() {
		t.Fatalf("one member: %+v, want ring %s", k, first)
	}
	alone := nodes[0].Incarnation()
	restart("with one member")
	for range 4 {
		nodes = append(nodes, joinTCP(t, addr)) // they wait for the grace
	}
	if id != first || nodes[0].Incarnation() != alone {
		t.Fatalf("ring %s, want %s; the first member had incarnation %d, and has %d", id, first, alone, nodes[0].Incarnation())
	}
	before := incarnationsOf(nodes)

	// The newcomer dials at once. The five have just lost the registry, and wait before they
	// dial it again.
	restart("with five members")
	newcomer := joinTCP(t, addr)
	checkSame(t, nodes, before)
	for _, n := range append(nodes, newcomer) {
		if now := n.Status().Identity; now != first || id != first {
			t.Errorf("node %d is in ring %s, want %s", n.ID(), now, first)
		}
		if err := n.Send(t.Context(), nodes[2].ID(), []byte("x")); err != nil {
			t.Error(err)
		}
		if err := n.Flush(t.Context()); err != nil {
			t.Error(err)
		}
	}

	for _, n := range append(nodes, newcomer) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := n.Leave(ctx); err != nil {
			t.Error(err)
		}
		cancel()
	}
	ringtest.WaitUntil(t, "the state says that the ring is empty", func() bool { return readState(t, dir).Empty })
	restart("when all have left")
	if n := joinTCP(t, addr); id != first || n.Status().Identity != first {
		t.Errorf("ring %s, the registry said %s, want %s", n.Status().Identity, id, first)
	}
	if k := readState(t, dir); k.Empty {
		t.Errorf("%+v", k)
	}
}

// A directory serves one registry at a time, and one ring.
func TestRegistryRefusesADirectory(t *testing.T) {
	dir := t.TempDir()
	addr, _, kill := startState(t, dir, "127.0.0.1:0")
	joinTCP(t, addr)
	refuse := func(bits int, says string) {
		t.Helper()
		out, err := stateCommand(dir, "127.0.0.1:0", bits).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || !strings.Contains(string(out), "WithState: ") || !strings.Contains(string(out), says) {
			t.Errorf("%v: %s, want %q", err, out, says)
		}
	}
	refuse(16, "is in use by another registry, process ")
	kill()
	refuse(20, "keeps a ring with IDs of 16 bits, this registry has 20 (WithBits)")
	os.WriteFile(filepath.Join(dir, "ring.json"), []byte("{"), 0o600)
	refuse(16, "is not the state of a ring")
	file := filepath.Join(dir, "file")
	os.WriteFile(file, nil, 0o600)
	dir = file
	refuse(16, "cannot make the directory")
}

// A registry that cannot write its state goes on with the members that it has. It admits no
// first member, and says why. In virtual time a busy machine does not use up the time of a join.
func TestStateCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { stateCannotBeWritten(t, dir) })
}

func stateCannotBeWritten(t *testing.T, dir string) {
	log := ringtest.NewLog()
	tr := ringtest.New(t, memnet.New(1), ringdht.WithState(dir), ringdht.WithSelfSetup(0), ringdht.WithGrace(time.Millisecond), log.Option(), ringdht.WithHandshakeTimeout(200*time.Millisecond))
	block := filepath.Join(dir, "ring.json.tmp")
	if err := os.Mkdir(block, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := tr.TryJoin(nil)
	if !errors.Is(err, ringdht.ErrRebuilding) || !strings.Contains(err.Error(), "cannot keep the state of the ring") || !strings.Contains(err.Error(), "ring.json.tmp") {
		t.Fatal(err)
	}
	if s := tr.Registry.Snapshot(); s.Live || len(s.Members) > 0 || len(eventsOf(s, status.EventState)) != 1 {
		t.Errorf("live %v, %d members, events %+v", s.Live, len(s.Members), s.Events)
	}
	log.WaitFor(t, "the state of the ring cannot be kept")
	if err := tr.Registry.ReadyNow(); !errors.Is(err, ringdht.ErrRebuilding) || !strings.Contains(err.Error(), "cannot keep the state of the ring") {
		t.Errorf("it admits no node, and says of its readiness: %v", err)
	}
	os.Remove(block)
	tr.Join(nil, ringdht.WithRetry()) // the registry writes again within seconds
	id := checkRing(t, tr)
	if s := tr.Registry.Snapshot(); len(eventsOf(s, status.EventState)) != 2 {
		t.Errorf("events %+v", s.Events)
	}
	os.Mkdir(block, 0o700) // the ring has a member: others may join
	tr.Join(nil)
	if err := tr.Registry.ReadyNow(); err != nil {
		t.Error(err)
	}
	if now := checkRing(t, tr); now != id || readState(t, dir).Identity != id {
		t.Errorf("ring %s, was %s", now, id)
	}
	os.Remove(block)
}

// What could not be written while the registry ran is written when it closes.
func TestStateIsWrittenAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithState(dir), ringdht.WithSelfSetup(0), ringdht.WithGrace(time.Second))
		n := tr.Join(nil)
		checkRing(t, tr)
		block := filepath.Join(dir, "ring.json.tmp")
		os.Mkdir(block, 0o700)
		if err := n.Leave(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the write has failed, and is tried again after a while
		os.Remove(block)
		tr.Registry.Close()
		if k := readState(t, dir); !k.Empty || k.Identity == "" {
			t.Errorf("%+v", k)
		}
	})
}
