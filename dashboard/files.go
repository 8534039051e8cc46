package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"time"
)

//go:embed page/*.html page/*.css page/*.js page/*.svg
var files embed.FS

// page holds the files of the page by path.
var page = load()

// file is one of them. Embedded files have no modification time, so the ETag is a hash of
// the contents: a browser that asks again is answered that nothing has changed.
type file struct {
	kind, tag string
	body      []byte
}

func load() map[string]*file {
	all := make(map[string]*file)
	names, _ := fs.Glob(files, "page/*")
	for _, name := range names {
		body, err := files.ReadFile(name)
		if err != nil { // impossible: the file is embedded
			panic(err)
		}
		kind := mime.TypeByExtension(path.Ext(name))
		if path.Ext(name) == ".js" { // the system's table may say otherwise, and browsers run no module of another type
			kind = "text/javascript; charset=utf-8"
		}
		f := &file{kind: kind, tag: fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(body))[:16]), body: body}
		all["/"+path.Base(name)] = f
	}
	all["/{$}"] = all["/index.html"]
	delete(all, "/index.html")
	return all
}

func (f *file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", f.tag)
	within(w, func() { http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body)) })
}
