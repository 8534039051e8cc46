package examples_test

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/x/ringdht/examples/internal/drive"
)

// shell starts an interactive shell with job control on a terminal.
func shell(t *testing.T, bin string, columns, rows int) *drive.Terminal {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	x := drive.OpenTerminal(t, columns, rows)
	cmd := exec.Command(bash, "--norc", "--noprofile", "--noediting", "-i")
	cmd.Env = append(os.Environ(), "TERM=xterm", "PS1=$ ", "PATH="+bin+":"+os.Getenv("PATH"), "HISTFILE=")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = x.Program, x.Program, x.Program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	// Under nohup a hangup is ignored, and what is started ignores it too, unless it has a handler here.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hangups) })
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // a shell that hangs up ends its jobs, and one that is killed leaves them
		cmd.Process.Signal(syscall.SIGHUP)
		late := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
		cmd.Wait()
		late.Stop()
	})
	x.Shows(`^\$ ▁$`)
	return x
}

// A test that fails leaves no process in the background.
func TestShellEndsItsJobs(t *testing.T) {
	var job string
	t.Run("session", func(t *testing.T) {
		x := shell(t, t.TempDir(), 80, 24)
		x.Type("sleep 1000 &\n")
		job = x.Expect(`\[1\] (\d+)`)[1]
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
			// Until it runs its program, a process has the shell's handlers, and loses a signal.
			if args, _ := os.ReadFile("/proc/" + job + "/cmdline"); strings.HasPrefix(string(args), "sleep") {
				return
			}
		}
	})
	if job == "" {
		t.Skip("there is no shell")
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if args, _ := os.ReadFile("/proc/" + job + "/cmdline"); len(args) == 0 { // gone, or not waited for yet
			return
		}
		if time.Now().After(end) {
			t.Fatalf("process %s is left", job)
		}
	}
}

// In the background of a shell, programs live: they neither stop when they would read or
// write, nor change the terminal's mode. After fg they read commands.
func TestBackgroundOfAShell(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts processes")
	}
	bin := build(t)
	for _, stop := range []string{"-tostop", "tostop"} {
		t.Run(stop, func(t *testing.T) {
			t.Parallel() // mostly it waits for leases
			background(t, bin, stop)
		})
	}
}

// background does so with the terminal's mode stop, in which programs in the background may not
// write, or its opposite.
func background(t *testing.T, bin, stop string) {
	x := shell(t, bin, 80, 24)
	addr := freeAddr(t)
	x.Type("stty " + stop + "\nregistry " + addr + " &\n")
	x.Expect(`Registry listening on`)
	x.Expect(`commands are not read`)
	for range 3 {
		x.Type("messenger " + addr + " &\n")
		x.Expect(`This is node \d+`)
		x.Expect(`commands are not read`)
	}
	x.Type("jobs; stty -a | grep -o -- '-\\?icanon'; echo no\"\"ted\n")
	x.Shows(`Running +registry (?s).*Running +messenger.*Running +messenger.*Running +messenger.*^icanon\nnoted$`)

	x.Type("fg %1\n")
	x.Shows(`^> ▁$`)
	x.Type("list\n")
	x.Shows(`^host +port +ID\n127\.0\.0\.1 .*\n127\.0\.0\.1 .*\n127\.0\.0\.1 .*\n> ▁$`)
	x.Type("setup\n")
	x.Shows(`ready to initiate tasks\.\n> ▁$`)
	x.Type("start 100\n")
	x.Shows(`^Verdict: exact$`)
	x.Type("list half")
	x.Shows(`^> list half▁$`)
	x.Type("\x1a") // Ctrl-Z
	x.Shows(`(?s)Stopped +registry.*\$ ▁$`)
	x.Type("stty -a | grep -o -- '-\\?icanon'; echo co\"\"oked\n")
	x.Shows(`^icanon\ncooked$`)
	x.Type("fg\n")
	x.Shows(`^> list half▁$`)
	x.Type("\x1a")
	x.Shows(`(?s)Stopped +registry.*\$ ▁$`)
	x.Type("bg\n")
	x.Expect(`commands are not read`)
	x.Type("fg %1\n")
	x.Shows(`^> list half▁$`)
	x.Type("\x15")
	x.Shows(`^> ▁$`)
	x.Type("quit\n")
	x.Shows(`(?s)(cannot be reached.*){3}`) // the messengers, before or after the prompt of the shell
	x.Expect(`(?s)quit.*\$ `)

	x.Type("fg %2\n")
	x.Shows(`^> ▁$`)
	x.Type("exit\n")
	x.Shows(`^exited overlay\n(.*\n)*\$ ▁$`)
	x.Type("stty -a | grep -o -- '-\\?icanon'; kill %3 %4; wait; echo do\"\"ne\n")
	x.Shows(`(?s)^icanon\n.*^done\n\$ ▁$`)
	x.Close()
}

// However a program ends, the terminal is as it was.
func TestTerminalIsRestored(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts processes")
	}
	bin := build(t)
	for _, c := range []struct {
		name, typed string
		signal      syscall.Signal
	}{
		{"quit", "quit\n", 0},
		{"Ctrl-C", "\x03", 0},
		{"Ctrl-\\", "\x1c", 0},
		{"SIGTERM", "", syscall.SIGTERM},
		{"SIGTERM in a line", "list", syscall.SIGTERM},
		{"SIGHUP", "", syscall.SIGHUP},
		{"SIGTERM in a command", "wait 5\n", syscall.SIGTERM},
		{"SIGHUP in a view", "watch\n", syscall.SIGHUP},
		{"SIGQUIT in a command", "wait 5\n", syscall.SIGQUIT},
	} {
		x, cmd := onTerminal(t, filepath.Join(bin, "registry"), "127.0.0.1:0")
		x.Shows(`^> ▁$`)
		if x.Cooked() {
			t.Errorf("%s: there is no line editor", c.name)
		}
		x.Type(c.typed)
		switch c.typed {
		case "wait 5\n":
			x.Shows(`^waiting: 0 of 5 nodes are registered▁$`)
		case "watch\n":
			x.Shows(`^ring: `)
		case "list":
			x.Shows(`^> list▁$`)
		}
		if c.signal != 0 {
			cmd.Process.Signal(c.signal)
		}
		cmd.Wait()
		if !x.Cooked() {
			t.Errorf("%s: the terminal is not restored", c.name)
		}
		restored(t, x)
		x.Close()
	}
}

// A line that is half typed at a messenger survives the message that arrives, and is sent as
// it was typed, on wide terminals and on narrow ones.
func TestHalfTypedMessage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts processes")
	}
	bin := build(t)
	registry := start(t, "registry", filepath.Join(bin, "registry"), "127.0.0.1:0")
	_, at := registry.expect(`listening on (127\.0\.0\.1:\d+)`)
	var nodes []*drive.Terminal
	var ids []string
	for _, size := range [][2]int{{80, 24}, {40, 10}} {
		x, _ := onTerminal(t, filepath.Join(bin, "messenger"), at[1])
		x.Resize(size[0], size[1])
		ids = append(ids, x.Shows(`This\s+is\s+node\s+(\d+)(?s).*> ▁$`)[1])
		nodes = append(nodes, x)
	}
	registry.enter("wait 2")
	registry.enter("setup")
	registry.expect(`ready to initiate tasks`)
	for i, x := range nodes {
		other := nodes[1-i]
		x.Type("send " + ids[1-i] + " half ty")
		x.Shows(`^> send \d+ half ty▁$`)
		other.Type("send " + ids[i] + " hello from there\n")
		x.Shows(`hello\s+from\s+t\s?here\n> send \d+ half ty▁$`)
		x.Type("ped\n")
		x.Shows(`^> send \d+ half typed\nSent to`)
		other.Shows(`half\s+typed\n(Sent\s+to\s+\d+\.\n)?> ▁$`) // its own message may be told of later
	}
	nodes[0].Type("send " + ids[1][:2] + "\t")
	nodes[0].Shows(`^> send ` + ids[1] + ` ▁$`)
	for _, x := range nodes {
		x.Type("\x15exit\n")
		x.Expect(`exited overlay`)
		restored(t, x)
	}
}
