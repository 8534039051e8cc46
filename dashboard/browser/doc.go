// Package browser drives the live page of package dashboard in a real browser, Chromium,
// without a screen. It consists of tests. It is a module of its own so that the root module
// does not need what drives browsers.
//
//	apt-get install chromium fonts-dejavu-core nodejs npm
//	npm ci      # the checker of HTML
//	go test .
//
// Flags: -pictures dir keeps pictures of the page, -cost 10 measures in so many pairs of
// rounds what an open page costs a ring of 1,000 nodes; on a machine that does nothing else.
package browser
