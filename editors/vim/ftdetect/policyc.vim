autocmd BufRead,BufNewFile *.pol setfiletype policyc
