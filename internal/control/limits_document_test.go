package control

import (
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/wire"
)

// PROTOCOL.md has the limit of each list, and no others.
func TestProtocolHasTheLimitsOfLists(t *testing.T) {
	text, err := os.ReadFile("../../PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "\n| in | most elements |\n|---|---|\n")
	if !ok {
		t.Fatal("PROTOCOL.md has no table of lists")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	told := make(map[string]map[string]int)
	for _, row := range regexp.MustCompile(`(?m)^\| (\w+) \| (.*) \|$`).FindAllStringSubmatch(table, -1) {
		told[row[1]] = make(map[string]int)
		for _, l := range regexp.MustCompile("`(\\w+)` ([0-9,]+[0-9]|[0-9])").FindAllStringSubmatch(row[2], -1) {
			told[row[1]][l[1]], _ = strconv.Atoi(strings.ReplaceAll(l[2], ",", ""))
		}
	}
	for typ, lists := range maxLists {
		if !maps.Equal(told[typ.Name()], lists) {
			t.Errorf("PROTOCOL.md has %v for the lists of %s, the code %v", told[typ.Name()], typ.Name(), lists)
		}
		delete(told, typ.Name())
	}
	if len(told) > 0 {
		t.Errorf("PROTOCOL.md has limits that the code does not have: %v", told)
	}
}

// PROTOCOL.md has the longest frame of each type that a node sends, before it is a member and after.
func TestProtocolHasTheLimitsOfFrames(t *testing.T) {
	text, err := os.ReadFile("../../PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	told := make(map[string]int)
	for _, row := range regexp.MustCompile(`(?m)^\| (.*), prefix included \| ([0-9,]+) bytes \|$`).FindAllStringSubmatch(string(text), -1) {
		n, _ := strconv.Atoi(strings.ReplaceAll(row[2], ",", ""))
		for _, name := range regexp.MustCompile(`[A-Z]\w+`).FindAllString(row[1], -1) {
			told[name] = n
		}
	}
	names := map[string]wire.Type{
		"Register": TypeRegister, "Deregister": TypeDeregister, "Stuck": TypeStuck, "Linked": TypeLinked, "Trouble": TypeTrouble,
		"Finished": TypeFinished, "Beat": TypeBeat, "Traced": TypeTraced, "Pairs": TypePairs, "Note": TypeNote,
	}
	for name, typ := range names {
		if want := FrameLimit(typ, true); told[name] != want {
			t.Errorf("PROTOCOL.md: a %s has at most %d bytes, in the code %d", name, told[name], want)
		}
		if n := FrameLimit(typ, false); n != MaxFirst && typ != TypeRegister {
			t.Errorf("a %s before the node is a member may have %d bytes", name, n)
		}
	}
	for typ := range maxReports {
		if !slices.Contains(slices.Collect(maps.Values(names)), typ) {
			t.Errorf("type 0x%02X has a limit of its own, and is not compared with PROTOCOL.md", uint8(typ))
		}
	}
}

// What is known is all that there is, and no more.
func TestUnexpected(t *testing.T) {
	for typ := range wire.Type(0xff) {
		known := TypeRegister <= typ && typ <= TypeStuck
		if got := errors.Is(Unexpected(typ), wire.ErrWrongWay); got != known {
			t.Errorf("type 0x%02X is one that the other side sends: %v", uint8(typ), got)
		}
	}
}
