package third_party

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var upstream = flag.Bool("upstream", false, "compare the copied files with the module, which needs the Go module proxy")

// sums are the SHA-256 sums of the copied files.
var sums = map[string]string{
	"terminal.go": "221e717be6277af5e7cca327c9400577d81c6eb66c3606812b5d4a5dc58b8de7",
	"LICENSE":     "911f8f5782931320f5b8d1160a76365b83aea6447ee6c04fa6d5591467db9dad",
}

// The copied files are unchanged.
func TestUnchanged(t *testing.T) {
	for name, want := range sums {
		text, err := os.ReadFile(filepath.Join("_term", name))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(text)); got != want {
			t.Errorf("%s has been changed: its sum is %s", name, got)
		}
	}
}

// With -upstream, the copied files are byte for byte those of the module.
func TestUpstream(t *testing.T) {
	if !*upstream {
		t.Skip("needs -upstream, and the Go module proxy")
	}
	answer, err := exec.Command("go", "mod", "download", "-json", "golang.org/x/term@"+Version).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(answer, &module); err != nil {
		t.Fatal(err)
	}
	for name := range sums {
		want, err := os.ReadFile(filepath.Join(module.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join("_term", name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not the file of golang.org/x/term %s (%v)", name, Version, err)
		}
	}
}
