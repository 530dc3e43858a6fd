import { thisMachine } from "./engine/machines/local/localMachine.ts";
import { allProcesses, portsInUse } from "./engine/machines/procfs.ts";
import { readdir, readFile, readlink } from "node:fs/promises";
const old = async()=>{ const n=(await readdir("/proc")).filter(x=>/^\d+$/.test(x)); await Promise.all(n.map(async pid=>{ try{ await Promise.all(["stat","status","cmdline"].map(x=>readFile(`/proc/${pid}/${x}`,"utf8"))); await readlink(`/proc/${pid}/cwd`).catch(()=>undefined);}catch{} })); return n.length;};
for (let i=0;i<4;i++){ let s=process.cpuUsage(), t=performance.now(); const n=await old(); let c=process.cpuUsage(s); console.log("old",n,Math.round(performance.now()-t),"ms cpu",(c.user+c.system)/1000);
 s=process.cpuUsage(); t=performance.now(); const m=(await allProcesses(thisMachine)).length; c=process.cpuUsage(s); console.log("new",m,Math.round(performance.now()-t),"ms cpu",(c.user+c.system)/1000); 
 s=process.cpuUsage(); t=performance.now(); await portsInUse(thisMachine); c=process.cpuUsage(s); console.log("ports",Math.round(performance.now()-t),"ms cpu",(c.user+c.system)/1000);}
