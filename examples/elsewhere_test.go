package examples_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// commandsOf returns the names that a program's help lists.
func commandsOf(t *testing.T, out string) (names []string) {
	t.Helper()
	for line := range strings.Lines(out) {
		var commands []struct{ Name string }
		if json.Unmarshal([]byte(line), &commands) == nil {
			for _, c := range commands {
				names = append(names, c.Name)
			}
		}
	}
	return names
}

// A command that is typed in the window of the other program gets the answer where it belongs.
func TestCommandsOfTheOtherProgram(t *testing.T) {
	bin := build(t)
	addr := freeAddr(t)
	typed := func(program, lines string) string {
		cmd := exec.Command(filepath.Join(bin, program), addr)
		cmd.Stdin = strings.NewReader(lines)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", program, err, out)
		}
		return string(out)
	}
	atRegistry := commandsOf(t, typed("registry", "help -json\nquit\n"))
	r := start(t, "registry", filepath.Join(bin, "registry"), addr)
	r.expect("^Registry listening")
	atMessenger := commandsOf(t, typed("messenger", "help -json\nexit-overlay\n"))
	said := typed("messenger", strings.Join(atRegistry, " x x x x\n")+"\nexit-overlay\n")
	other(t, "the registry", said, atRegistry, atMessenger)
	r.enter("quit")
	r.exits()
	said = typed("registry", strings.Join(atMessenger, " x x x x\n")+"\nquit\n")
	other(t, "a messenger", said, atMessenger, atRegistry)
}

// other checks what a program said about commands, of which it has its own.
func other(t *testing.T, program, said string, typed, own []string) {
	t.Helper()
	if len(typed) < 5 || len(own) < 5 {
		t.Fatalf("typed %q, own %q", typed, own)
	}
	has := "\n" + strings.Join(own, "\n") + "\n"
	for _, name := range typed {
		if strings.Contains(has, "\n"+name+"\n") || name == "quit" {
			continue
		}
		if !strings.Contains(said, "\n"+name+" is a command of "+program+": type it there") {
			t.Errorf("%s is not said to be a command of %s:\n%s", name, program, said)
		}
	}
}
