package browser

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The page as it is served is valid HTML.
func TestHTML(t *testing.T) {
	t.Parallel()
	validate(t, filepath.FromSlash("../page/index.html"))
}

// checkHTML demands that the page as its scripts have made it is valid too.
func (p *page) checkHTML() {
	p.t.Helper()
	html := "<!DOCTYPE html>\n" + eval[string](p, `document.documentElement.outerHTML`) + "\n"
	file := filepath.Join(p.t.TempDir(), "page.html")
	if err := os.WriteFile(file, []byte(html), 0o600); err != nil {
		p.t.Fatal(err)
	}
	// How a browser writes attributes is not ours, and heights of bars are set by scripts.
	validate(p.t, file, "--rule", "attribute-boolean-style:off", "--rule", "no-inline-style:off")
}

// validate has html-validate look at a file.
func validate(t *testing.T, file string, rules ...string) {
	t.Helper()
	checker := filepath.FromSlash("node_modules/.bin/html-validate")
	if _, err := os.Stat(checker); err != nil {
		t.Fatal("no html-validate: npm ci")
	}
	if out, err := exec.Command(checker, append(rules, "--config", "htmlvalidate.json", "--formatter", "text", file)...).CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}
