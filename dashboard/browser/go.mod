module github.com/x/ringdht/dashboard/browser

go 1.26.0

replace github.com/x/ringdht => ../..

require (
	github.com/chromedp/cdproto v0.159.0
	github.com/chromedp/chromedp v0.23.0
	github.com/google/pprof v0.0.0-20261016150608-1facf8f91b50
	github.com/x/ringdht v0.0.0-00010101000000-000000000000
)

require (
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
	github.com/hashicorp/go-msgpack/v2 v2.1.5 // indirect
	golang.org/x/sync v0.22.0 // indirect
)
