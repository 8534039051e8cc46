package browser

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The page as served is valid HTML.
func TestHTML(t *testing.T) {
	t.Parallel()
	validate(t, filepath.FromSlash("../page/index.html"))
}

// checkHTML demands that the page is still valid after its scripts have changed it.
func (p *page) checkHTML() {
	p.t.Helper()
	html := "<!DOCTYPE html>\n" + eval[string](p, `document.documentElement.outerHTML`) + "\n"
	file := filepath.Join(p.t.TempDir(), "page.html")
	if err := os.WriteFile(file, []byte(html), 0o600); err != nil {
		p.t.Fatal(err)
	}
	// Browsers write attributes in their own way, and scripts set the heights of bars.
	validate(p.t, file, "--rule", "attribute-boolean-style:off", "--rule", "no-inline-style:off")
}

// validate runs html-validate on a file.
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
