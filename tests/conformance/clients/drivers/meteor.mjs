/** Meteor's own client, as a build of it (of 1.3) was published: in a browser, over its SockJS. */

/* global Meteor, Mongo, Tracker */

export function open() {
  const collections = new Map();
  let connections = 0;
  Tracker.autorun(() => {
    if (Meteor.status().connected) connections += 1;
  });

  const collection = (name) => {
    if (!collections.has(name)) collections.set(name, new Mongo.Collection(name));
    return collections.get(name);
  };

  return {
    knowsObjectIds: true,
    tellsOfRefusedSubscriptions: true,
    settlesWhatWasAsked: true,
    connected: () => new Promise((resolve) => whenConnected(resolve)),
    connections: () => connections,
    call: (name, ...params) =>
      new Promise((resolve, reject) =>
        Meteor.call(name, ...params, (error, result) => (error ? reject(error) : resolve(result))),
      ),
    subscribe: (name, ...params) =>
      new Promise((resolve, reject) => {
        const handle = Meteor.subscribe(name, ...params, {
          onReady: () => resolve(handle),
          onStop: reject,
        });
      }),
    async unsubscribe(handle) {
      handle.stop();
    },
    documents: (name) =>
      Object.fromEntries(
        collection(name)
          .find()
          .fetch()
          .map(({ _id, ...fields }) => [_id.toHexString?.() ?? _id, fields]),
      ),
    close: () => Meteor.disconnect(),
  };
}

function whenConnected(resolve) {
  Tracker.autorun((computation) => {
    if (!Meteor.status().connected) return;
    computation.stop();
    resolve();
  });
}
