package browser

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/x/ringdht/internal/leaks"
)

var pictures = flag.String("pictures", "", "keep pictures of the page in this directory")

// TestMain lets the test binary also run as a node, see nodeProcess.
func TestMain(m *testing.M) {
	if addr := os.Getenv(nodeRole); addr != "" {
		nodeProcess(addr)
		return
	}
	os.Exit(leaks.Run(m, func() { quit() }))
}

// rebound is a name that the browser resolves to this machine's address, as it would after
// DNS rebinding.
const rebound = "ring.elsewhere.example"

// browser starts Chromium once for all tests, since that takes a second.
var browser = sync.OnceValues(func() (context.Context, error) {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return nil, errors.New("no Chromium: apt-get install chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		// Its sandbox does not start as root or in containers, and it loads our own pages
		// only.
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.WindowSize(1440, 900),
		chromedp.Flag("lang", "en-US"),
		chromedp.Flag("host-resolver-rules", "MAP "+rebound+" 127.0.0.1"),
	)
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(alloc)
	quit = func() {
		cancel()
		stop()
	}
	if err := chromedp.Do(ctx); err != nil {
		return nil, fmt.Errorf("starting %s: %w", path, err)
	}
	return ctx, nil
})

// quit ends the browser.
var quit = func() {}
