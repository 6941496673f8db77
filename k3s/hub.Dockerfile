# Unverified: never built or run (see README.md beside this file).
FROM node:24-bookworm-slim AS build
WORKDIR /edgeloop
RUN npm install --global pnpm@10.34.9
COPY package.json pnpm-lock.yaml pnpm-workspace.yaml tsconfig.json ./
COPY protocol protocol
COPY model-compiler model-compiler
COPY edge-agent/package.json edge-agent/package.json
COPY cloud-hub cloud-hub
COPY dashboard dashboard
COPY cli cli
RUN pnpm install --frozen-lockfile --filter '@edgeloop/dashboard...' \
 && node -e "import('./dashboard/build.ts').then((m) => m.buildDashboard())" \
 && rm -rf node_modules */node_modules \
 && pnpm install --prod --no-optional --frozen-lockfile --filter '@edgeloop/cli...' --filter '!@edgeloop/edge-agent'

FROM node:24-bookworm-slim
WORKDIR /edgeloop
COPY --from=build /edgeloop .
USER node
VOLUME /data
EXPOSE 4180 4181 4182
ENTRYPOINT ["node", "cli/src/main.ts", "hub", "--data", "/data"]
